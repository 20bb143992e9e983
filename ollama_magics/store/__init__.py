"""What lets a job resume: vectors and wanted answers on disk by a hash of what was asked, and never a prompt."""
