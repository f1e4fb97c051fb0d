# every way of ending a line
model m
{
    input x :
        real[3]; let a = x +
        x
    let b = f(a,
              2,      # a comment in a call
    )
    if true { let c = b }
    else if false { let c = a }
    else
    {
        let c = x
    }
    dictionary D = dense(N * M)
        where { param M : real[3, 4] = normal(1)
                param N : real = 2 }
    output y = b ; ; output z = D'(x)
}

layer f(x, k: int,) = k * x
