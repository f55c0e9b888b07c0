"""What a site may change: `node.toml` and the files of `dicom_templates/`."""
