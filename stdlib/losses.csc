# Losses and metrics: one number a sample; the mean over the batch is taken.

function cross_entropy(logits, y) = -mean(pick(log_softmax(logits), y))
function accuracy(logits, y) = mean(argmax(logits) == y)
function mse(x, y) = mean((x - y)^2)
function l1(x) = sum(abs(x))
function l2(x) = sqrt(sum(x^2))
function binary_cross_entropy(logits, y) = mean(softplus(logits) - logits * y)      # of logits, not of probabilities
function psnr(x, y, peak = 1.0) = 10 / log(10) * log(peak^2 / max(mse(x, y), 1e-12))

# Segmentation: scores [classes, H, W] and labels [H, W]; one score s a pixel is [0 * s ; s]. Pixels whose label names no class count nowhere.
function pixel_cross_entropy(scores, y) = -sum(pick(log_softmax(scores), y)) / max(sum(one_hot(y, channels(scores))), 1)

# Pixels of each class that are named rightly, that are of it, that are called so
function confusion(scores, y) {
    let k = channels(scores)
    let is = reshape(one_hot(y, k), [k, size(y)])
    let said = reshape(one_hot(sum(one_hot(y, k), axis: 1) > 0 ? argmax(scores) : -1, k), [k, size(y)])
    return sum(is * said, axis: 2), sum(is, axis: 2), sum(said, axis: 2)
}

# Counted over the whole data set: the share of pixels that are right; its mean over the classes; the mean of intersection / union
function pixel_accuracy(scores, y) {
    let right, is, said = confusion(scores, y)
    return ratio(sum(right), sum(is))
}
function mean_accuracy(scores, y) {
    let right, is, said = confusion(scores, y)
    return ratio(right, is)
}
function mean_iou(scores, y) {
    let right, is, said = confusion(scores, y)
    return ratio(right, is + said - right)
}
