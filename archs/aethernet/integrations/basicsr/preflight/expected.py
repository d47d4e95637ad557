"""What the entries of an option file have to be: by BasicSR 1.4.2's code, and by this package's classes.

`schema` says which keys are read; here stands the kind of their values. Places are as in messages, `*` is any name.
"""

from collections.abc import Mapping

from aethernet.integrations.basicsr.preflight import kinds
from aethernet.integrations.basicsr.preflight.kinds import (
    SWITCH,
    TEXT,
    TEXT_OR_NUMBER,
    Kind,
    choice,
    count,
    number,
    whole,
)

ANYWHERE: Mapping[str, Kind] = {
    "find_unused_parameters": SWITCH.or_none(),
    "datasets: *: name": TEXT.or_none(),  # told as missing
    "datasets: *: batch_size_per_gpu": whole(1).or_none(),
    "datasets: *: num_worker_per_gpu": whole(0).or_none(),
    "datasets: *: dataset_enlarge_ratio": number(above=0),
    "datasets: *: prefetch_mode": Kind("~, cpu or cuda", lambda value: value in (None, "cpu", "cuda")),
    "datasets: *: num_prefetch_queue": whole(1).or_none(),
    "datasets: *: pin_memory": SWITCH.or_none(),
    "datasets: *: persistent_workers": SWITCH.or_none(),
    "datasets: *: use_shuffle": SWITCH.or_none(),
    "datasets: *: max_damaged": whole(0).or_none(),
    "datasets: *: io_backend: readonly": SWITCH,
    "datasets: *: io_backend: lock": SWITCH,
    "datasets: *: io_backend: readahead": SWITCH,
    "path: strict_load_*": SWITCH.or_none(),
    "path: param_key_*": TEXT.or_none(),
    "path: ignore_resume_networks": kinds.names("the name of a network").or_none(),
    "val: val_freq": count(1).or_none(),
    "val: save_img": SWITCH.or_none(),
    "val: suffix": TEXT_OR_NUMBER.or_none(),
    "val: pbar": SWITCH.or_none(),
    "val: metrics: *: better": Kind("higher or lower", lambda value: value in ("higher", "lower")),
    "dist_params: backend": kinds.not_near("nccl", "gloo", "mpi", "ucc", "xccl", "hccl", "cncl"),
    "dist_params: port": kinds.PORT.or_none(),
}
"""Read by BasicSR's pipeline, whatever the classes are. What must be there is `keys.missing_keys`' business."""

TRAINING: Mapping[str, Kind] = {
    "train: total_iter": count(1).or_none(),
    "train: warmup_iter": number(),
    "logger: print_freq": count(1).or_none(),
    "logger: save_checkpoint_freq": count(1).or_none(),
    "logger: use_tb_logger": SWITCH.or_none(),
    "logger: wandb: project": TEXT.or_none(),
    "logger: wandb: resume_id": TEXT_OR_NUMBER.or_none(),
}
"""Read by every training."""

MODELS: Mapping[str, Kind] = {
    "train: ema_decay": kinds.DECAY,
    "train: net_d_iters": count(1),
    "train: net_d_init_iters": number(0),
}
"""Read by the model classes of `schema.MODELS`."""

DEGRADATION: Mapping[str, Kind] = {
    **dict.fromkeys(
        ("gaussian_noise_prob", "gaussian_noise_prob2", "gray_noise_prob", "gray_noise_prob2"), kinds.PROBABILITY
    ),
    "second_blur_prob": kinds.PROBABILITY,
    **dict.fromkeys(("resize_range", "resize_range2"), kinds.pair(1e-2, 10)),
    **dict.fromkeys(("noise_range", "noise_range2"), kinds.pair(0, 255)),
    **dict.fromkeys(("poisson_scale_range", "poisson_scale_range2"), kinds.pair(0, 100)),
    # At a quality of 100 BasicSR's JPEG divides by zero.
    **dict.fromkeys(("jpeg_range", "jpeg_range2"), kinds.pair(1, 99)),
    **dict.fromkeys(("gt_usm", "l1_gt_usm", "percep_gt_usm", "gan_gt_usm"), kinds.STRICT_SWITCH),
    "high_order_degradation": SWITCH,
    "antialias": SWITCH,
}
"""Read at the top level by models that degrade their inputs."""

DATASETS: Mapping[str, Kind] = {
    "gt_size": whole(1).or_none(),
    "use_hflip": SWITCH.or_none(),
    "use_rot": SWITCH.or_none(),
    "mean": kinds.MEANS.or_none(),
    "std": Kind(
        "a list of three positive numbers such as [0.5, 0.5, 0.5]",
        lambda value: value is None or (kinds.MEANS.fits(value) and min(value) > 0),
    ),
    "meta_info": TEXT.or_none(),
    "meta_info_file": TEXT.or_none(),
    "num_images": whole(1),
    "seed": whole(0),
    "crops": whole(1),
    **dict.fromkeys(("sinc_prob", "sinc_prob2", "final_sinc_prob"), kinds.PROBABILITY.or_none()),
    **dict.fromkeys(("blur_sigma", "blur_sigma2"), kinds.pair(0.05, 100).or_none()),
    **dict.fromkeys(("betag_range", "betag_range2", "betap_range", "betap_range2"), kinds.pair(0.1, 100).or_none()),
    **dict.fromkeys(("blur_kernel_size", "blur_kernel_size2"), kinds.odd(7, 21).or_none()),
}
"""Keys of the data sets of `schema.DATASETS`; what somebody else's data set reads is not known here."""

ARGUMENTS: Mapping[str, Kind] = {
    # losses
    **dict.fromkeys(("loss_weight", "perceptual_weight", "style_weight", "frequency_weight"), number(0)),
    "reduction": choice("mean", "sum"),
    "gan_type": choice("vanilla", "lsgan", "wgan", "wgan_softplus", "hinge"),
    "criterion": choice("l1", "l2", "fro"),
    "real_label_val": number(),
    "fake_label_val": number(),
    # optimisers
    **dict.fromkeys(("lr", "adamw_lr", "weight_decay", "momentum", "momentum_decay"), number(0)),
    "eps": number(0),
    "betas": kinds.BETAS,
    # schedulers
    **dict.fromkeys(("milestones", "periods", "restarts", "restart_weights"), kinds.STEPS),
    **dict.fromkeys(("gamma", "eta_min"), number(0)),
    # metrics
    "crop_border": whole(0),
    "input_order": choice("HWC", "CHW"),
    "convert_to": choice("y", "gray"),
    # networks
    **dict.fromkeys(("num_in_ch", "num_out_ch", "num_feat", "upscale", "scale"), whole(1)),
    **dict.fromkeys(("num_block", "num_conv", "num_grow_ch"), whole(0)),
}
"""Arguments of BasicSR's, torch's and this package's classes; of others the default tells the kind."""
