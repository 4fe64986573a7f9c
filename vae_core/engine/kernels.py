"""The kernels of a training step on a GPU, in Triton, where cuDNN's take several times as long.

Each convolution of this network joins a small map and a large one, `STRIDE` times as wide: the large map's
pixel (STRIDE * i - 1 + y, STRIDE * j - 1 + x) meets the small one's (i, j) through tap (y, x) of a 3x3
kernel. So there are three computations, whichever layer it is and whichever way one goes through it.
`gather` goes from large to small: a convolution forward, a transposed one backward. `spread` goes from small
to large: the other two. `outer` gives a kernel's gradient from both. Where the large map is a picture, of
one channel, the nine taps take the channels' place: `gather_pixels`, `spread_to_pixels`, `outer_pixels`.

A map is (N, height, width, channels) in memory, but those of 7x7, between which the linear layers are, (N,
channels, height, width): `PLANES`. A kernel is (A, 3, 3, B), of A channels of the small map and B of the
large. What `tl.dot` multiplies is TF32, as in cuDNN by PyTorch's default; sums are float32 and always in the
same order, so that the same mini-batch gives the same bits.
"""

# Triton reads numbers as constexpr where one is wanted, which its types do not say.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _small_places(image, position, channel, PIXELS: tl.constexpr, A: tl.constexpr, PLANES: tl.constexpr):
    """Where channels of a small map's pixels lie in memory."""
    if PLANES:
        return (image * A + channel) * PIXELS + position
    return (image * PIXELS + position) * A + channel


@triton.jit
def _give_on(total, bias, outputs, result, places, within, FORWARD: tl.constexpr, MASK: tl.constexpr):
    """Stores a layer's result: forward with its bias through its ReLU, backward through the ReLU before it,
    which lets pass what came out of it above zero."""
    if FORWARD:
        total = tl.maximum(total + bias, 0.0, propagate_nan=tl.PropagateNan.ALL)  # as PyTorch's does
    if MASK:
        total = tl.where(tl.load(outputs + places, mask=within, other=0.0) > 0, total, 0.0)
    tl.store(result + places, total, mask=within)


@triton.jit
def gather(
    large, kernel, bias, outputs, small, rows,
    SIZE: tl.constexpr, STRIDE: tl.constexpr, A: tl.constexpr, B: tl.constexpr, PLANES: tl.constexpr,
    FORWARD: tl.constexpr, MASK: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """small[i, j, a] = sum of large[STRIDE * i - 1 + y, STRIDE * j - 1 + x, b] * kernel[a, y, x, b].

    `rows` are the small map's pixels of all images, `SIZE` its width; `outputs`, what the ReLU gave, are read
    where `MASK`.
    """
    WIDE: tl.constexpr = SIZE * STRIDE
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    image, position = row // (SIZE * SIZE), row % (SIZE * SIZE)
    top, left = position // SIZE * STRIDE - 1, position % SIZE * STRIDE - 1
    a, b = tl.arange(0, A), tl.arange(0, B)
    total = tl.zeros((ROWS, A), tl.float32)
    for tap in range(9):
        y, x = top + tap // 3, left + tap % 3
        inside = (row < rows) & (y >= 0) & (y < WIDE) & (x >= 0) & (x < WIDE)
        pixel = (image * WIDE + y) * WIDE + x
        values = tl.load(large + pixel[:, None] * B + b[None, :], mask=inside[:, None], other=0.0)
        weights = tl.load(kernel + (a[None, :] * 9 + tap) * B + b[:, None])  # (B, A)
        total = tl.dot(values, weights, total)
    places = _small_places(image[:, None], position[:, None], a[None, :], SIZE * SIZE, A, PLANES)
    shift = tl.load(bias + a)[None, :] if FORWARD else 0.0
    _give_on(total, shift, outputs, small, places, (row < rows)[:, None], FORWARD, MASK)


@triton.jit
def _pixels(pixels, indices, image, y, x, inside, GREY: tl.constexpr, WIDE: tl.constexpr):
    """Pixels of the images that `indices` finds, uint8, if `GREY`; else of pictures, float, one an image."""
    if GREY:
        image = tl.load(indices + image, mask=inside, other=0)
    values = tl.load(pixels + (image * WIDE + y) * WIDE + x, mask=inside, other=0)
    return values.to(tl.float32)


@triton.jit
def _pixels_of_taps(
    pixels, indices, row, end, SIZE: tl.constexpr, STRIDE: tl.constexpr, GREY: tl.constexpr
):  # fmt: skip
    """What the small map's pixels before `end` meet through each tap, (ROWS, 16); of the last seven: zero."""
    WIDE: tl.constexpr = SIZE * STRIDE
    image, position = row // (SIZE * SIZE), row % (SIZE * SIZE)
    tap = tl.arange(0, 16)
    y = (position // SIZE * STRIDE - 1)[:, None] + tap[None, :] // 3
    x = (position % SIZE * STRIDE - 1)[:, None] + tap[None, :] % 3
    inside = (row < end)[:, None] & (tap < 9)[None, :] & (y >= 0) & (y < WIDE) & (x >= 0) & (x < WIDE)
    return _pixels(pixels, indices, image[:, None] + tl.zeros_like(y), y, x, inside, GREY, WIDE)


@triton.jit
def gather_pixels(
    pixels, indices, kernel, bias, outputs, small, rows, scale,
    SIZE: tl.constexpr, STRIDE: tl.constexpr, A: tl.constexpr, GREY: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """`gather` from a picture; forward from the images, `GREY`, whose values are multiplied by `scale`."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    a, tap = tl.arange(0, A), tl.arange(0, 16)
    values = _pixels_of_taps(pixels, indices, row, rows, SIZE, STRIDE, GREY)
    weights = tl.load(kernel + a[None, :] * 9 + tap[:, None], mask=(tap < 9)[:, None], other=0.0)
    total = tl.dot(values, weights) * scale
    places = row[:, None] * A + a[None, :]
    shift = tl.load(bias + a)[None, :] if GREY else 0.0
    _give_on(total, shift, outputs, small, places, (row < rows)[:, None], GREY, not GREY)


@triton.jit
def _tap(kernel, y: tl.constexpr, x: tl.constexpr, A: tl.constexpr, B: tl.constexpr):
    """The weights of one tap, (A, B)."""
    return tl.load(kernel + (tl.arange(0, A)[:, None] * 9 + y * 3 + x) * B + tl.arange(0, B)[None, :])


@triton.jit
def spread(
    small, kernel, bias, outputs, large, rows,
    SIZE: tl.constexpr, A: tl.constexpr, B: tl.constexpr, PLANES: tl.constexpr,
    FORWARD: tl.constexpr, MASK: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """large[2 * i - 1 + y, 2 * j - 1 + x, b] += small[i, j, a] * kernel[a, y, x, b], at stride 2.

    Of each two by two pixels of the large map, the one at even places meets one small pixel, through the
    middle tap, and the one at odd places four, through the corners.
    """
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    image, position = row // (SIZE * SIZE), row % (SIZE * SIZE)
    i, j = position // SIZE, position % SIZE
    a, b = tl.arange(0, A), tl.arange(0, B)
    places = _small_places(image[:, None], position[:, None], a[None, :], SIZE * SIZE, A, PLANES)
    step = 1 if PLANES else A  # to the next pixel
    within, has_right, has_below = row < rows, j + 1 < SIZE, i + 1 < SIZE
    here = tl.load(small + places, mask=within[:, None], other=0.0)
    right = tl.load(small + places + step, mask=(within & has_right)[:, None], other=0.0)
    below = tl.load(small + places + SIZE * step, mask=(within & has_below)[:, None], other=0.0)
    across = tl.load(
        small + places + (SIZE + 1) * step, mask=(within & has_right & has_below)[:, None], other=0.0
    )
    shift = tl.load(bias + b)[None, :] if FORWARD else 0.0
    corner = ((image * 2 * SIZE + 2 * i) * 2 * SIZE + 2 * j)[:, None] * B + b[None, :]

    total = tl.dot(here, _tap(kernel, 1, 1, A, B))
    _give_on(total, shift, outputs, large, corner, within[:, None], FORWARD, MASK)

    total = tl.dot(here, _tap(kernel, 1, 2, A, B))
    total = tl.dot(right, _tap(kernel, 1, 0, A, B), total)
    _give_on(total, shift, outputs, large, corner + B, within[:, None], FORWARD, MASK)

    lower = corner + 2 * SIZE * B
    total = tl.dot(here, _tap(kernel, 2, 1, A, B))
    total = tl.dot(below, _tap(kernel, 0, 1, A, B), total)
    _give_on(total, shift, outputs, large, lower, within[:, None], FORWARD, MASK)

    total = tl.dot(here, _tap(kernel, 2, 2, A, B))
    total = tl.dot(right, _tap(kernel, 2, 0, A, B), total)
    total = tl.dot(below, _tap(kernel, 0, 2, A, B), total)
    total = tl.dot(across, _tap(kernel, 0, 0, A, B), total)
    _give_on(total, shift, outputs, large, lower + B, within[:, None], FORWARD, MASK)


@triton.jit
def spread_to_pixels(
    small, kernel, bias, images, indices, by_logit, errors, rows, slope,
    SIZE: tl.constexpr, A: tl.constexpr, CROSS_ENTROPY: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """The last layer, at stride 1, and the loss behind it.

    `by_logit` is the loss's derivative by each pixel's logit: by the pixel it is `slope` times what the pixel
    is too bright by. `errors` are sums over each program's pixels, of the squared error or the cross-entropy.
    """
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    image, position = row // (SIZE * SIZE), row % (SIZE * SIZE)
    i, j = position // SIZE, position % SIZE
    a = tl.arange(0, A)
    products = tl.zeros((ROWS, A), tl.float32)
    for tap in tl.static_range(9):
        y, x = i + 1 - tap // 3, j + 1 - tap % 3
        inside = (row < rows) & (y >= 0) & (y < SIZE) & (x >= 0) & (x < SIZE)
        pixel = (image * SIZE + y) * SIZE + x
        values = tl.load(small + pixel[:, None] * A + a[None, :], mask=inside[:, None], other=0.0)
        products += values * tl.load(kernel + a * 9 + tap)[None, :]
    logit = tl.sum(products, axis=1) + tl.load(bias)
    reconstruction = tl.sigmoid(logit)
    within = row < rows
    target = _pixels(images, indices, image, i, j, within, True, SIZE) / 255
    difference = reconstruction - target
    if CROSS_ENTROPY:  # whose slope cancels the sigmoid's
        error = tl.maximum(logit, 0.0) - logit * target + tl.log(1 + tl.exp(-tl.abs(logit)))
        tl.store(by_logit + row, difference * slope, mask=within)
    else:
        error = difference * difference
        tl.store(by_logit + row, difference * reconstruction * (1 - reconstruction) * slope, mask=within)
    tl.store(errors + tl.program_id(0), tl.sum(tl.where(within, error, 0.0)))


@triton.jit
def outer(
    small, large, parts, rows,
    SIZE: tl.constexpr, A: tl.constexpr, B: tl.constexpr, PLANES: tl.constexpr, BIAS_OF_LARGE: tl.constexpr,
    SHARES: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """The gradient of a kernel and its bias at stride 2: kernel[a, y, x, b] += small[i, j, a] *
    large[2 * i - 1 + y, 2 * j - 1 + x, b]; the bias is that of the map that the layer gives.

    Program (share, y) adds up its share of the small pixels for a row of taps; row 3 is the bias. `parts`
    is (SHARES, A * 9 * B + the bias), to be added up.
    """
    WIDE: tl.constexpr = 2 * SIZE
    KERNEL: tl.constexpr = A * 9 * B
    PARTS: tl.constexpr = KERNEL + (B if BIAS_OF_LARGE else A)
    share, y = tl.program_id(0), tl.program_id(1)
    size = tl.cdiv(rows, SHARES)
    first, end = share * size, tl.minimum(share * size + size, rows)
    a, b = tl.arange(0, A), tl.arange(0, B)
    if y < 3:
        left, middle, right = (
            tl.zeros((A, B), tl.float32),
            tl.zeros((A, B), tl.float32),
            tl.zeros((A, B), tl.float32),
        )
        for start in range(first, end, ROWS):
            row = start + tl.arange(0, ROWS)
            image, position = row // (SIZE * SIZE), row % (SIZE * SIZE)
            line, column = position // SIZE * 2 - 1 + y, position % SIZE * 2
            inside = (row < end) & (line >= 0)  # below and right it always is
            places = _small_places(image[:, None], position[:, None], a[None, :], SIZE * SIZE, A, PLANES)
            smalls = tl.trans(tl.load(small + places, mask=inside[:, None], other=0.0))
            pixel = large + ((image * WIDE + line) * WIDE + column)[:, None] * B + b[None, :]
            left = tl.dot(smalls, tl.load(pixel - B, mask=(inside & (column > 0))[:, None], other=0.0), left)
            middle = tl.dot(smalls, tl.load(pixel, mask=inside[:, None], other=0.0), middle)
            right = tl.dot(smalls, tl.load(pixel + B, mask=inside[:, None], other=0.0), right)
        taps = parts + share * PARTS + (a[:, None] * 9 + 3 * y) * B + b[None, :]
        tl.store(taps, left)
        tl.store(taps + B, middle)
        tl.store(taps + 2 * B, right)
    elif BIAS_OF_LARGE:  # four pixels for each small one
        sums = tl.zeros((4 * ROWS, B), tl.float32)
        for start in range(4 * first, 4 * end, 4 * ROWS):
            row = start + tl.arange(0, 4 * ROWS)
            sums += tl.load(large + row[:, None] * B + b[None, :], mask=(row < 4 * end)[:, None], other=0.0)
        tl.store(parts + share * PARTS + KERNEL + b, tl.sum(sums, axis=0))
    else:
        sums = tl.zeros((ROWS, A), tl.float32)
        for start in range(first, end, ROWS):
            row = start + tl.arange(0, ROWS)
            image, position = row // (SIZE * SIZE), row % (SIZE * SIZE)
            places = _small_places(image[:, None], position[:, None], a[None, :], SIZE * SIZE, A, PLANES)
            sums += tl.load(small + places, mask=(row < end)[:, None], other=0.0)
        tl.store(parts + share * PARTS + KERNEL + a, tl.sum(sums, axis=0))


@triton.jit
def outer_pixels(
    small, pixels, indices, parts, rows, scale,
    SIZE: tl.constexpr, STRIDE: tl.constexpr, A: tl.constexpr, GREY: tl.constexpr,
    SHARES: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """`outer` with a picture as the large map: the images, whose values are multiplied by `scale`, of which
    the bias is the small map's; or what the last layer gives, of which it is the picture's."""
    KERNEL: tl.constexpr = A * 9
    PARTS: tl.constexpr = KERNEL + (A if GREY else 1)
    share = tl.program_id(0)
    size = tl.cdiv(rows, SHARES)
    end = tl.minimum(share * size + size, rows)
    a, tap = tl.arange(0, A), tl.arange(0, 16)
    total = tl.zeros((A, 16), tl.float32)
    small_column, pixel_column = tl.zeros((ROWS, A), tl.float32), tl.zeros((ROWS, 16), tl.float32)
    for start in range(share * size, end, ROWS):
        row = start + tl.arange(0, ROWS)
        values = _pixels_of_taps(pixels, indices, row, end, SIZE, STRIDE, GREY)
        smalls = tl.load(small + row[:, None] * A + a[None, :], mask=(row < end)[:, None], other=0.0)
        total = tl.dot(tl.trans(smalls), values, total)
        small_column += smalls
        pixel_column += values
    gradient = parts + share * PARTS
    tl.store(gradient + a[:, None] * 9 + tap[None, :], total * scale, mask=(tap < 9)[None, :])
    if GREY:
        tl.store(gradient + KERNEL + a, tl.sum(small_column, axis=0))
    else:  # at stride 1 the middle tap meets every pixel once
        tl.store(gradient + KERNEL + tap - 4, tl.sum(pixel_column, axis=0), mask=tap == 4)


@triton.jit
def sample(posterior, eps, z, divergence, K: tl.constexpr, BLOCK: tl.constexpr):
    """A program for each image: z = mean + exp(log_variance / 2) * eps, and its KL from the prior in nats."""
    image, latent = tl.program_id(0), tl.arange(0, BLOCK)
    within = latent < K
    mean = tl.load(posterior + image * 2 * K + latent, mask=within, other=0.0)
    log_variance = tl.load(posterior + image * 2 * K + K + latent, mask=within, other=0.0)
    deviation = tl.exp(0.5 * log_variance)
    noise = tl.load(eps + image * K + latent, mask=within, other=0.0)
    tl.store(z + image * K + latent, mean + deviation * noise, mask=within)
    terms = -0.5 * (1 + log_variance - mean * mean - deviation * deviation)  # of padding: zero
    tl.store(divergence + image, tl.sum(terms))


@triton.jit
def back_through_sample(posterior, eps, by_z, by_posterior, weight, K: tl.constexpr, BLOCK: tl.constexpr):
    """The loss's derivative by mean and log-variance, of which the KL's has a `weight`."""
    image, latent = tl.program_id(0), tl.arange(0, BLOCK)
    within = latent < K
    mean = tl.load(posterior + image * 2 * K + latent, mask=within, other=0.0)
    deviation = tl.exp(0.5 * tl.load(posterior + image * 2 * K + K + latent, mask=within, other=0.0))
    noise = tl.load(eps + image * K + latent, mask=within, other=0.0)
    slope = tl.load(by_z + image * K + latent, mask=within, other=0.0)
    by_log_variance = 0.5 * (slope * deviation * noise + weight * (deviation * deviation - 1))
    tl.store(by_posterior + image * 2 * K + latent, slope + weight * mean, mask=within)
    tl.store(by_posterior + image * 2 * K + K + latent, by_log_variance, mask=within)


@triton.jit
def add_up(parts, total, rows, columns, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """total[c] = the sum of parts[r, c] over r, always in the same order."""
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    sums = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(0, rows, ROWS):
        row = start + tl.arange(0, ROWS)
        inside = (row < rows)[:, None] & (column < columns)[None, :]
        sums += tl.load(parts + row[:, None] * columns + column[None, :], mask=inside, other=0.0)
    tl.store(total + column, tl.sum(sums, axis=0), mask=column < columns)


@triton.jit
def adam(
    weights, gradients, average, square_average, steps, learning_rate, count,
    BETA1: tl.constexpr, BETA2: tl.constexpr, EPSILON: tl.constexpr,
    LOG_BETA1: tl.constexpr, LOG_BETA2: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Adam's step of all weights (Kingma and Ba, 2015, algorithm 1), the `steps`-th; logarithms to base 2."""
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    within = place < count
    step = tl.load(steps).to(tl.float64)  # at first the powers are almost 1
    gradient = tl.load(gradients + place, mask=within, other=0.0)
    first = tl.load(average + place, mask=within, other=0.0)
    second = tl.load(square_average + place, mask=within, other=0.0)
    first += (1 - BETA1) * (gradient - first)
    second = BETA2 * second + (1 - BETA2) * gradient * gradient
    size = tl.load(learning_rate) / (1 - tl.exp2(step * LOG_BETA1)).to(tl.float32)
    deviation = tl.sqrt(second / (1 - tl.exp2(step * LOG_BETA2)).to(tl.float32)) + EPSILON
    tl.store(average + place, first, mask=within)
    tl.store(square_average + place, second, mask=within)
    tl.store(weights + place, tl.load(weights + place, mask=within) - size * first / deviation, mask=within)
