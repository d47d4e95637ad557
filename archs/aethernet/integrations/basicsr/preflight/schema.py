"""The keys that are read: by BasicSR 1.4.2, found by reading its code, and by this package's classes.

Classes that stand in no table are somebody else's. What they read is not known here, so nothing is refused to them.
"""

from dataclasses import dataclass, fields

from aethernet.integrations.basicsr.training.options import TrainOptions


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


TOP = _words(
    "name model_type scale num_gpu manual_seed datasets path train val logger dist_params find_unused_parameters "
    "auto_resume dist rank world_size is_train root_path"
)
"""train.py, test.py, BaseModel, and in the second line what `parse_options` and train.py enter themselves."""

VAL = _words("val_freq save_img suffix metrics pbar")
LOGGER = _words("print_freq save_checkpoint_freq use_tb_logger wandb")
WANDB = _words("project resume_id")
DIST_PARAMS = _words("backend port")
PATH_ENTERED = _words("experiments_root models training_states log visualization results_root")
"""Entered by `parse_options`."""
PATH = PATH_ENTERED | {"resume_state", "ignore_resume_networks"}
PATH_OF_NETWORK = ("pretrain_network_{}", "strict_load_{}", "param_key_{}")
PATH_NOT_CREATED = ("strict_load", "pretrain_network", "resume", "param_key")
"""Keys below `path:` that contain one of these make no folder (`make_exp_dirs`)."""

_SR = _words("total_iter warmup_iter optim_g scheduler ema_decay pixel_opt perceptual_opt")
_GAN = _SR | _words("optim_d gan_opt net_d_iters net_d_init_iters")  # SRGANModel builds ldl_opt and never computes it
_AETHER = frozenset(field.name for field in fields(TrainOptions))
DEGRADATION = _words(
    "high_order_degradation queue_size gt_size gt_usm l1_gt_usm percep_gt_usm gan_gt_usm second_blur_prob "
    "resize_prob resize_range gaussian_noise_prob noise_range poisson_scale_range gray_noise_prob jpeg_range "
    "resize_prob2 resize_range2 gaussian_noise_prob2 noise_range2 poisson_scale_range2 gray_noise_prob2 "
    "jpeg_range2"
)
"""What the models read at the top level that degrade their inputs."""
AETHER_DEGRADATION = DEGRADATION | {"antialias"}
"""Ours read this as well."""


@dataclass(frozen=True)
class ModelKeys:
    """What a model class reads below `train:`, which networks it builds, and what it reads at the top level."""

    train: frozenset[str]
    networks: tuple[str, ...] = ("network_g",)
    top: frozenset[str] = frozenset()
    needed: tuple[str, ...] = ("total_iter", "optim_g", "scheduler")


_BOTH = ("network_g", "network_d")
_GAN_NEEDED = ("total_iter", "optim_g", "optim_d", "scheduler", "gan_opt")

MODELS = {
    "AetherModel": ModelKeys(_SR | _AETHER),
    "AetherGANModel": ModelKeys(_GAN | _AETHER, _BOTH, needed=_GAN_NEEDED),
    "AetherRealModel": ModelKeys(_SR | _AETHER, top=AETHER_DEGRADATION),
    "AetherRealGANModel": ModelKeys(_GAN | _AETHER, _BOTH, AETHER_DEGRADATION, _GAN_NEEDED),
    "SRModel": ModelKeys(_SR),
    "SwinIRModel": ModelKeys(_SR),
    "RealESRNetModel": ModelKeys(_SR, top=DEGRADATION),
    "SRGANModel": ModelKeys(_GAN, _BOTH, needed=_GAN_NEEDED),
    "ESRGANModel": ModelKeys(_GAN, _BOTH, needed=_GAN_NEEDED),
    "RealESRGANModel": ModelKeys(_GAN | {"ldl_opt"}, _BOTH, DEGRADATION, _GAN_NEEDED),
}
AETHER_MODELS = ("AetherModel", "AetherGANModel", "AetherRealModel", "AetherRealGANModel")
DEGRADING_MODELS = tuple(name for name, keys in MODELS.items() if keys.top)

# use_shuffle stands in many option files and is read by nobody: the sampler always shuffles.
_ANY_SET = _words(
    "name type phase scale num_worker_per_gpu batch_size_per_gpu dataset_enlarge_ratio prefetch_mode "
    "num_prefetch_queue pin_memory persistent_workers use_shuffle max_damaged"
)
_OF_KERNELS = _words(
    "final_sinc_prob blur_kernel_size kernel_list kernel_prob blur_sigma betag_range betap_range sinc_prob "
    "blur_kernel_size2 kernel_list2 kernel_prob2 blur_sigma2 betag_range2 betap_range2 sinc_prob2"
)
_PAIRED = _ANY_SET | _words("dataroot_gt dataroot_lq io_backend filename_tmpl gt_size use_hflip use_rot mean std")

DATASETS = {
    "AetherMemoryDataset": (_PAIRED - {"mean", "std"}) | {"crops", "color"},
    "AetherSyntheticDataset": _ANY_SET | _words("num_images seed gt_size use_hflip use_rot color"),
    "PairedImageDataset": _PAIRED | {"meta_info_file", "color"},
    "RealESRGANPairedDataset": _PAIRED | {"meta_info"},
    "SingleImageDataset": _ANY_SET | _words("dataroot_lq io_backend meta_info_file mean std color"),
    "RealESRGANDataset": _ANY_SET | _OF_KERNELS | _words("dataroot_gt io_backend meta_info gt_size use_hflip use_rot"),
}

DATASETS_NEED = {
    "AetherMemoryDataset": ("dataroot_gt",),
    "AetherSyntheticDataset": ("gt_size",),
    "PairedImageDataset": ("dataroot_gt", "dataroot_lq", "io_backend"),
    "RealESRGANPairedDataset": ("dataroot_gt", "dataroot_lq", "io_backend"),
    "SingleImageDataset": ("dataroot_lq", "io_backend"),
    "RealESRGANDataset": ("dataroot_gt", "io_backend"),
}
TRAINING_SETS_NEED = {
    "AetherMemoryDataset": ("gt_size",),
    "PairedImageDataset": ("gt_size", "use_hflip", "use_rot"),
    "RealESRGANPairedDataset": ("gt_size", "use_hflip", "use_rot"),
    "RealESRGANDataset": tuple(sorted(_OF_KERNELS | _words("use_hflip use_rot"))),
}
LOADERS_NEED = ("batch_size_per_gpu", "num_worker_per_gpu")
