"""Where methods meet protocols; the only place that knows Ray and MLflow."""

import os

# Sums over threads depend on how many there are, in the last bits: one thread gives every backend the same numbers.
# Set here because the libraries read it once, when numpy is first imported.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
