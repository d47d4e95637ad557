/* Answers for the `cpuid` instructions that run.py has replaced by `ud2` in copies of libraries: what this CPU says,
   without VNNI, AMX, bfloat16 and float16 (OLDER_CPU=avx512), and without AVX-512 altogether (OLDER_CPU=avx2).
   Bits as in Intel's Software Developer's Manual, volume 2, CPUID, leaf 7. */

#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

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

__attribute__((constructor)) static void install(void) {
    const char *cpu = getenv("OLDER_CPU");
    struct sigaction action = {0};
    without_avx512 = !cpu || strcmp(cpu, "avx512");
    action.sa_sigaction = answer;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGILL, &action, 0);
}
