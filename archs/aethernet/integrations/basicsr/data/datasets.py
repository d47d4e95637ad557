"""A data set for BasicSR that needs no files: synthetic pictures and their bicubic LQ.

```yaml
datasets:
  train:
    name: synthetic
    type: AetherSyntheticDataset
    num_images: 10000
    gt_size: 128
    use_hflip: true
    use_rot: true
```
"""

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from aethernet.data.bicubic import bicubic_downsample
from aethernet.data.synthetic import synthetic_picture
from aethernet.integrations import registry
from aethernet.integrations.basicsr import compat
from aethernet.integrations.basicsr.data.dataset_options import integer, is_grey, patch_size, phase, to_tensor
from aethernet.integrations.basicsr.data.memory_dataset import AetherMemoryDataset
from aethernet.wording import how_many

VALIDATION_START = 10**9  # validation pictures follow here in the series, where no training set reaches
AUGMENT_STREAM = 1  # keeps the flips' random numbers apart from the drawing's


class AetherSyntheticDataset(Dataset):
    """Pairs of a synthetic GT and its MATLAB-like bicubic LQ, the same for an index whatever the worker.

    Options beside BasicSR's own:
        num_images: pictures in an epoch, default 10000.
        gt_size: side of the square GT in pixels, a multiple of `scale` and >= 8.
        use_hflip, use_rot: flips and quarter turns in the training phase, default off; fixed for each index too.
        color: `y` gives Y alone, for a network of one channel. Default RGB.
        seed: number of the series, default 0.
        scale, phase: set by BasicSR. `val` and `test` take other pictures of the series than `train`.

    Raises:
        OptionError: an option is missing or out of its range.
    """

    def __init__(self, opt: dict) -> None:
        self.opt = opt
        owner = type(self).__name__
        self.scale = integer(opt, "scale", owner=owner, minimum=1)
        self.gt_size = patch_size(opt, self.scale, owner=owner, minimum=8)
        self.num_images = integer(opt, "num_images", owner=owner, minimum=1, default=10_000)
        self.seed = integer(opt, "seed", owner=owner, minimum=0, default=0)
        self.grey = is_grey(opt, owner=owner)
        self.is_train = phase(opt) == "train"

    def __len__(self) -> int:
        return self.num_images

    def __getitem__(self, index: int) -> dict[str, Tensor | str]:
        """`gt` (C, gt_size, gt_size) and `lq` (C, gt_size / scale, ...): float32 in [0, 1], RGB in 8-bit steps or its Y."""
        if not 0 <= index < self.num_images:
            raise IndexError(f"index {index}: the set has {how_many(self.num_images, 'picture')}")
        number = index if self.is_train else VALIDATION_START + index
        gt = synthetic_picture(number, self.gt_size, self.seed)
        if self.is_train:
            gt = self._augment(gt, index)
        lq = bicubic_downsample(gt, self.scale)
        path = f"synthetic/{index:06d}"
        tensors = {name: to_tensor(img.transpose(2, 0, 1), self.grey) for name, img in (("lq", lq), ("gt", gt))}
        return {**tensors, "lq_path": path, "gt_path": path}

    def _augment(self, img: np.ndarray, index: int) -> np.ndarray:
        hflip, vflip, transpose = np.random.default_rng((self.seed, index, AUGMENT_STREAM)).random(3) < 0.5
        if self.opt.get("use_hflip") and hflip:
            img = img[:, ::-1]
        if self.opt.get("use_rot"):
            img = img[::-1] if vflip else img
            img = img.transpose(1, 0, 2) if transpose else img
        return img


def register() -> None:
    """Adds this package's data sets to BasicSR's DATASET_REGISTRY; a second call changes nothing.

    Raises:
        RegistrationError: another class holds the name.
    """
    compat.apply()
    from basicsr.utils.registry import DATASET_REGISTRY

    for dataset in (AetherSyntheticDataset, AetherMemoryDataset):
        registry.register(DATASET_REGISTRY, dataset)
