"""Makes the free hand that ships with the library: `python -m launch.freehand --out=FILE.npz`."""
