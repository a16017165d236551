"""Atelier Mini: a very small text-to-image model in a layout that stable-diffusion.cpp loads as it is."""
