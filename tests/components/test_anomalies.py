"""Features that the schema lacks are ignored; all other anomalies are read."""

import pandas
import pytest
import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.anomalies import Anomaly, read_anomalies

SCHEMA = 'feature { name: "class" type: INT presence { min_fraction: 1.0 } int_domain { max: 4 } }'
MISSING = Anomaly("train", "class", "Column is completely missing")
FORBIDDEN = Anomaly("train", "id", "Some examples have more values than expected.")


@pytest.mark.parametrize(
    ("more", "columns", "expected"),
    [
        ("", {"class": [1, 2]}, []),
        ("", {"class": [1, 2], "id": [7, 8]}, []),
        ('feature { name: "id" type: INT value_count { max: 0 } }', {"class": [1, 2], "id": [7, 8]}, [FORBIDDEN]),
        ('feature { name: "id" type: INT }', {"id": [7, 8]}, [MISSING]),
    ],
    ids=["as the schema", "an extra feature", "a forbidden feature", "a missing feature"],
)
def test_anomalies_of_features(tmp_path, more, columns, expected):
    schema = text_format.Parse(SCHEMA + more, schema_pb2.Schema())
    statistics = tfdv.generate_statistics_from_dataframe(pandas.DataFrame(columns))
    (tmp_path / "Split-train").mkdir()
    proto = tfdv.validate_statistics(statistics, schema)
    (tmp_path / "Split-train" / "SchemaDiff.pb").write_bytes(proto.SerializeToString())
    assert read_anomalies(str(tmp_path), "train") == expected
