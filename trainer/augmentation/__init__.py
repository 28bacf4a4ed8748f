"""Random changes to training photos; `python -m trainer.augmentation --show` shows them."""
