// SHA-256 of no bytes: the environment of a program that captured nothing, which is what links a bundle to its entry.

export const noBytesHash = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
