model m {
	input x : real[3]
	let = 2
	output y = q
}