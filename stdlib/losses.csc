# Losses and metrics: one number a sample; the mean over the batch is taken.

function cross_entropy(logits, y) = -mean(pick(log_softmax(logits), y))
function accuracy(logits, y) = mean(argmax(logits) == y)
function mse(x, y) = mean((x - y)^2)
function l1(x) = sum(abs(x))
function l2(x) = sqrt(sum(x^2))
function binary_cross_entropy(logits, y) = mean(softplus(logits) - logits * y)      # of logits, not of probabilities
function psnr(x, y, peak = 1.0) = 10 / log(10) * log(peak^2 / max(mse(x, y), 1e-12))
