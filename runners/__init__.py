"""Where methods meet protocols; the only place that knows Ray and MLflow."""
