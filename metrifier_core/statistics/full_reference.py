"""Full-reference image quality metrics: PSNR and SSIM of a version against its pristine image."""

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_PSNR = 100.0
"""PSNR of identical images, in dB; a difference of one grey level in one value of a 224-pixel image is 99.9 dB."""

_PEAK = 255.0
_MIDDLE = 128
_WINDOW = 11
_LUMINANCE_CONSTANT = (0.01 * _PEAK) ** 2
_CONTRAST_CONSTANT = (0.03 * _PEAK) ** 2


def peak_signal_to_noise(image: NDArray[np.uint8], reference: NDArray[np.uint8]) -> float:
    """Return the peak signal-to-noise ratio (PSNR) over all values of a uint8 RGB image (H, W, 3) and its reference.

    It is `10 log10(255**2 / mean squared difference)` dB, at most `MAX_PSNR`, which identical images have.

    Raises:
        ValueError: The shapes differ.
    """
    _check_shapes(image, reference)
    squared = float(np.square(cv2.absdiff(image, reference).astype(np.uint16)).mean(dtype=np.float64))
    return MAX_PSNR if squared == 0 else float(min(MAX_PSNR, 10 * np.log10(_PEAK**2 / squared)))


def structural_similarity(image: NDArray[np.uint8], reference: NDArray[np.uint8]) -> float:
    """Return the mean structural similarity (SSIM) of uint8 RGB images (H, W, 3) in grey, 1 where these are identical.

    Source: Wang, Bovik, Sheikh and Simoncelli, "Image Quality Assessment: From Error Visibility to Structural
    Similarity", 2004: a Gaussian window of 11 x 11 pixels with a standard deviation of 1.5, K1 = .01, K2 = .03. The
    mean is over the windows that lie inside the image; along a side shorter than a window over all of them, with the
    image mirrored at its edges. It is in [-1, 1].

    Raises:
        ValueError: The shapes differ.
    """
    _check_shapes(image, reference)
    # Centred on zero, single precision keeps five digits of a variance.
    first, second = (
        cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32) - _MIDDLE for pixels in (image, reference)
    )
    mean_first, mean_second = _blur(first), _blur(second)
    covariance = _blur(first * second) - mean_first * mean_second
    # Added in this order, identical images have a similarity of exactly 1.
    variances = (_blur(first * first) - mean_first**2) + (_blur(second * second) - mean_second**2)
    mean_first, mean_second = mean_first + _MIDDLE, mean_second + _MIDDLE
    product, squares = mean_first * mean_second, mean_first**2 + mean_second**2
    similarity = ((2 * product + _LUMINANCE_CONSTANT) * (2 * covariance + _CONTRAST_CONSTANT)) / (
        (squares + _LUMINANCE_CONSTANT) * (variances + _CONTRAST_CONSTANT)
    )
    margin = _WINDOW // 2
    down, right = (slice(margin, -margin) if side >= _WINDOW else slice(None) for side in similarity.shape)
    return float(similarity[down, right].mean(dtype=np.float64))


def _blur(image: NDArray[np.float32]) -> NDArray[np.float32]:
    blurred = cv2.GaussianBlur(image, (_WINDOW, _WINDOW), 1.5, borderType=cv2.BORDER_REFLECT)
    return np.asarray(blurred, np.float32)


def _check_shapes(image: NDArray[np.uint8], reference: NDArray[np.uint8]) -> None:
    if image.shape != reference.shape:
        raise ValueError(f"expected two images of one shape, got {image.shape} and {reference.shape}")
