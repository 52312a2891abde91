"""Lesson 1: what each scheme averages over.

The same two images pass through every scheme. The second image is made ten times brighter. Schemes that look at one
image at a time (instance, layer, group) give the first image the same answer as before; those that look at the batch
do not. Run it: `python examples/01_one_scheme_at_a_time.py`
"""

import torch

import normlab

torch.manual_seed(0)
images = torch.randn(2, 4, 8, 8)
brighter = images.clone()
brighter[1] *= 10

for name in normlab.NORMS:
    norm = normlab.NORMS.create(name, 4)
    change = (norm(images)[0] - norm(brighter)[0]).abs().max().item()
    print(f"{name:15} the first image changes by {change:.3f} when its neighbour gets brighter")
