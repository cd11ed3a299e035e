"""comix inside the libraries that people train with: one module per library, imported only when asked for.

``comix.integrations.timm``, ``.torchvision``, ``.lightning``, ``.kornia`` and ``.openmixup`` translate the
names, shapes and conventions of their library and call the public functions; importing one needs its
library, importing comix does not.
"""
