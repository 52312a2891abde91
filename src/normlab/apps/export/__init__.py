"""A trained image model as an ONNX file or a program of torch.export, checked before it is handed over.

Read `image.py` first (what is exported), then `writing.py` (how it is written and compared with the model).
"""

from normlab.apps.export.writing import FORMATS, Exported, export

__all__ = ["FORMATS", "Exported", "export"]
