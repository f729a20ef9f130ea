"""What runs inside the image: trains one model, then predicts with it, and times both.

Standard library, numpy, Keras and its framework; nothing else of the harness. The folder is
mounted read-only into images this project did not build and is started by its path.
"""
