"""Simple predictors of quality that a metrifier has to beat."""

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["jpeg_size", "laplacian_variance", "severity_oracle"]

_JPEG_QUALITY = 90
_COLOUR_IMAGE_DIMENSIONS = 3
_COLOUR_CHANNELS = 3


def laplacian_variance(image: NDArray[np.uint8]) -> float:
    """Return the variance of the Laplacian of an image: high where it is sharp or noisy.

    Source: Pech-Pacheco, Cristobal, Chamorro-Martinez and Fernandez-Valdivia, "Diatom autofocusing in
    brightfield microscopy: a comparative study", ICPR 2000.

    Args:
        image: RGB, uint8, (H, W, 3), at least one pixel.

    Returns:
        The variance in squared grey levels, 0 or more.

    Raises:
        ValueError: The image has another shape or type, or no pixels.
    """
    _check_image(image)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())


def jpeg_size(image: NDArray[np.uint8]) -> float:
    """Return how large an image is as a JPEG: large where it is detailed or noisy, small where it is blurred or flat.

    Quality 90, with chroma halved: its steps are a few grey levels, so that what a classifier could see is paid for.
    Coarser ones would round faint noise away, finer ones pay for what no one sees.

    Args:
        image: RGB, uint8, (H, W, 3), at least one pixel.

    Returns:
        Bytes a pixel, more than 0.

    Raises:
        ValueError: The image has another shape or type, or no pixels.
    """
    _check_image(image)
    encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
    return float(encoded.size / (image.shape[0] * image.shape[1]))


def severity_oracle(
    distortion: NDArray[np.generic],
    severity: NDArray[np.integer],
    quality: NDArray[np.float64],
    *,
    fit: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Predict quality from distortion and severity alone, blind to what the image shows.

    The prediction is the mean quality of the version's condition (distortion, severity) over the fit rows;
    for a condition absent from them the mean of its severity, and failing that the mean of all of them.

    Args:
        distortion: Name of each version's distortion, (N,).
        severity: Severity of each version, integers (N,).
        quality: Quality of each version, (N,). It is read in the fit rows only.
        fit: Which rows the means are taken over, bool (N,), at least one.

    Returns:
        Predicted quality of all rows, float64 (N,).

    Raises:
        ValueError: The arrays differ in length, `fit` is not boolean or selects no row, or the quality of a
            fit row is NaN.
    """
    columns = {"distortion": distortion, "severity": severity, "quality": quality, "fit": fit}
    if any(column.shape != (len(quality),) for column in columns.values()):
        shapes = ", ".join(f"{name} {column.shape}" for name, column in columns.items())
        raise ValueError(f"All columns need one value a version: {shapes}.")
    if fit.dtype != np.bool_ or not fit.any():
        raise ValueError("`fit` has to be a boolean array that selects at least one row.")
    if np.isnan(quality[fit]).any():
        raise ValueError("The quality of a fit row is NaN.")

    severities, severity_code = np.unique(severity, return_inverse=True)
    distortion_code = np.unique(distortion, return_inverse=True)[1]
    condition_code = distortion_code * len(severities) + severity_code

    prediction = np.full(len(quality), quality[fit].mean())
    for code in (severity_code, condition_code):
        count = np.bincount(code[fit], minlength=code.max() + 1)
        total = np.bincount(code[fit], weights=quality[fit], minlength=code.max() + 1)
        known = count[code] > 0
        prediction[known] = total[code[known]] / count[code[known]]
    return prediction


def _check_image(image: NDArray[np.uint8]) -> None:
    is_colour = image.ndim == _COLOUR_IMAGE_DIMENSIONS and image.shape[2] == _COLOUR_CHANNELS
    if image.dtype != np.uint8 or not is_colour or image.size == 0:
        raise ValueError(f"An image is a uint8 array (H, W, 3), not {image.dtype} {image.shape}.")
