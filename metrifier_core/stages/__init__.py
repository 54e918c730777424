"""The stages of the pipeline, a file each: paths in, paths out."""
