"""CSV files of latencies: each way in which a line can be wrong names the line and the column."""

import gzip

import numpy as np
import pytest

from hat.errors import DataError
from latency_predictor.fitting.csv_files import read_hat_csv
from latency_predictor.fitting.features import AVERAGED

COLUMNS = [*AVERAGED, "latency_mean_encoder", "latency_mean_decoder", "latency_std_encoder", "latency_std_decoder"]
ROW = [str(number) for number in range(1, 15)]


def csv_of(*rows):
    return "\n".join(",".join(row) for row in [COLUMNS, *rows]) + "\n"


@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
def test_features_and_the_sum_of_both_latencies(tmp_path, ending):
    path = tmp_path / f"some{ending}"
    text = csv_of(ROW, ROW[::-1]).encode()
    path.write_bytes(gzip.compress(text) if ending == ".csv.gz" else text)
    matrix, latencies_ms = read_hat_csv(path)
    np.testing.assert_array_equal(matrix, [range(1, 11), range(14, 4, -1)])
    assert latencies_ms.tolist() == [11 + 12, 4 + 3]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([ROW, ROW[:5]], "line 3: cut before decoder_layer_num"),
        ([ROW, ROW[:13], ROW], "line 3: cut before latency_std_decoder"),
        ([ROW, [*ROW, "7"]], "line 3: more fields than columns"),
        ([["nan", *ROW[1:]]], "line 2: encoder_embed_dim is 'nan'"),
        ([ROW, ROW, [*ROW[:11], "", *ROW[12:]]], "line 4: latency_mean_decoder is ''"),
        ([[*ROW[:10], "inf", *ROW[11:]]], "line 2: latency_mean_encoder is 'inf'"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, rows, message):
    path = tmp_path / "wrong.csv"
    path.write_text(csv_of(*rows))
    with pytest.raises(DataError, match=message) as error:
        read_hat_csv(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_columns_are_named(tmp_path):
    path = tmp_path / "wrong.csv"
    path.write_text(csv_of(ROW).replace("decoder_layer_num", "depth").replace("latency_mean_encoder", "ms"))
    with pytest.raises(DataError, match="column decoder_layer_num, latency_mean_encoder is missing"):
        read_hat_csv(path)
