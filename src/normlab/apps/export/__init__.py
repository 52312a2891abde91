"""A trained image model or tagger as an ONNX file or a program of torch.export, checked before it is handed over.

Read `image.py` or `tagger.py` first (what is exported), then `writing.py` (how it is written and compared with the
model); `onnx_model.py` reads an image model's file again.
"""

from normlab.apps.export.writing import FORMATS, Exported, export

__all__ = ["FORMATS", "Exported", "export"]
