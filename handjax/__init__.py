"""3D hands from ordinary images, in JAX."""

__version__ = "0.1.0"
