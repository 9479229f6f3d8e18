// Units of sizes in the tables beside this file.

export const KiB = 1024
export const MiB = 1024 * KiB
