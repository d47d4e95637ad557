/* Answers for the `cpuid` instructions that run.py has replaced by `ud2` in copies of libraries: what this CPU says,
   without VNNI, AMX, bfloat16 and float16 (OLDER_CPU=avx512), and without AVX-512 altogether (OLDER_CPU=avx2).
   /proc/cpuinfo says the same, to programs that open it by open() or open64().
   Bits as in Intel's Software Developer's Manual, volume 2, CPUID, leaf 7. */

#define _GNU_SOURCE
#include <cpuid.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define BIT(n) (1u << (n))

static int without_avx512;

static void answer(int number, siginfo_t *info, void *context) {
    (void)info;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const unsigned char *at = (const unsigned char *)registers[REG_RIP];
    if (at[0] != 0x0f || at[1] != 0x0b) { /* no ud2: an instruction that this CPU really lacks */
        signal(number, SIG_DFL);
        return;
    }
    unsigned leaf = (unsigned)registers[REG_RAX], subleaf = (unsigned)registers[REG_RCX], a, b, c, d;
    __cpuid_count(leaf, subleaf, a, b, c, d);
    if (leaf == 7 && subleaf == 0) {
        c &= ~BIT(11);                                                           /* AVX512_VNNI */
        d &= ~(BIT(2) | BIT(3) | BIT(8) | BIT(22) | BIT(23) | BIT(24) | BIT(25)); /* 4VNNIW .. FP16, AMX */
        if (without_avx512) {
            b &= ~(BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31)); /* F .. VL */
            c &= ~(BIT(1) | BIT(6) | BIT(12) | BIT(14));                                           /* VBMI .. VPOPCNTDQ */
        }
    }
    if (leaf == 7 && subleaf == 1) {
        a &= ~(BIT(4) | BIT(5) | BIT(21) | BIT(23));          /* AVX-VNNI, AVX512_BF16, AMX-FP16, AVX-IFMA */
        d &= ~(BIT(4) | BIT(5) | BIT(8) | BIT(10) | BIT(19)); /* AVX-VNNI-INT8 .. AVX10 */
    }
    registers[REG_RAX] = a;
    registers[REG_RBX] = b;
    registers[REG_RCX] = c;
    registers[REG_RDX] = d;
    registers[REG_RIP] += 2;
}

static int hidden(const char *flag, size_t length) {
    static const char *newer[] = {"avx512_vnni", "avx512_bf16", "avx512_fp16", "avx_vnni", "amx_"};
    for (unsigned i = 0; i < sizeof newer / sizeof *newer; i++)
        if (length >= strlen(newer[i]) && !memcmp(flag, newer[i], strlen(newer[i])))
            return 1;
    return without_avx512 && length >= 6 && !memcmp(flag, "avx512", 6);
}

/* A file in memory with the text of /proc/cpuinfo but the flags that are hidden. */
static int filtered_cpuinfo(void) {
    int source = (int)syscall(SYS_openat, AT_FDCWD, "/proc/cpuinfo", O_RDONLY, 0);
    int result = source < 0 ? -1 : memfd_create("cpuinfo", 0);
    static char word[256];
    size_t length = 0;
    char letter;
    while (result >= 0 && read(source, &letter, 1) == 1) {
        int ends = letter == ' ' || letter == '\n' || length == sizeof word;
        if (ends && !hidden(word, length) && write(result, word, length) != (ssize_t)length)
            break;
        if (ends)
            length = 0;
        if (letter == ' ' || letter == '\n') {
            if (write(result, &letter, 1) != 1)
                break;
        } else {
            word[length++] = letter;
        }
    }
    if (source >= 0)
        close(source);
    if (result >= 0)
        lseek(result, 0, SEEK_SET);
    return result;
}

static int open_any(const char *path, int flags, mode_t mode) {
    return strcmp(path, "/proc/cpuinfo") ? (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode) : filtered_cpuinfo();
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return open_any(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return open_any(path, flags | O_LARGEFILE, mode);
}

__attribute__((constructor)) static void install(void) {
    const char *cpu = getenv("OLDER_CPU");
    struct sigaction action = {0};
    without_avx512 = !cpu || strcmp(cpu, "avx512");
    action.sa_sigaction = answer;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGILL, &action, 0);
}
