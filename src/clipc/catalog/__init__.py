"""Sources into one table of image-caption pairs; encoded images into pixels."""
