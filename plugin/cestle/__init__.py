"""cestle: a DICOM node that turns 5T GluCEST studies into maps and a report.

Research use only. The layers, from the ground up: `errors`, `physics`, `geometry`,
`measurement` and `protocol`, the sciences (`cest`, `biomarkers`, `anatomy`, `render`,
`phantom`), `study`, `config`, the edges (`dicom`, `net`, `spool`), `engine`, `service`, `cli`.
"""

__version__ = "0.1.0"
