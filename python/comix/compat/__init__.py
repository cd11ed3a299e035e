"""The official repositories' function names and signatures, solved by comix.

One module per repository, so that an official training script changes its import lines and nothing else:

====================================  ==============================================================
``compat.puzzlemix``                  snu-mllab/PuzzleMix ``e2dbf3a``: ``mixup.py``
``compat.puzzlemix_imagenet``         the same commit: ``imagenet/mixup.py``
``compat.puzzlemix_imagenet_fast``    the same commit: ``imagenet_fast/lib/utils.py``
``compat.comixup``                    snu-mllab/Co-Mixup ``2a76816``: ``match.py``, ``mixup.py``,
                                      ``mixup_parallel.py``
``compat.comixup_imagenet``           the same commit: ``comix-imagenet/lib``
``compat.gco``                        gco-wrapper 3.0.9
====================================  ==============================================================

The device follows the tensors: ``device=`` and ``mp=`` are accepted, and ignored where there are tensors to
follow. Random numbers come from NumPy's and torch's global states in the official order, so an old seed gives
the same pairings, mixing ratios, priors and start labels. Arguments are never written to.

The labels are comix's own: exact arithmetic and stronger solvers. Inside :func:`replay` they are those of the
official code, bit for bit. ::

    from comix.compat.comixup import MixupProcessParallel, mixup_process
"""

from comix.compat._replay import replay

__all__ = ["replay"]
