"""The edge to DICOM: the only package that decodes or builds DICOM objects."""
