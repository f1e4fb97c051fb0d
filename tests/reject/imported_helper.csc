function helper(x) = 2 * x
