"""How good pictures are: PSNR and SSIM of a network on sets of pictures."""
