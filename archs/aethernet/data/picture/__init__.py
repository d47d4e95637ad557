"""One picture file as it is: its pixels in 8 or 16 bits, its transparency, and what it says about itself; read and written."""
