model m {
    input x : real[3]
    // a remark
    output y = x /* and another */
}
