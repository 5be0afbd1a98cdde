-- Run once, by the first start of an empty PostgreSQL. MLflow makes dozens of tables: it gets a database of its own.
CREATE DATABASE mlflow;
