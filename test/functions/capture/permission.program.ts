// Captures with the inspector denied; prints the error.
import { capture } from '../../../functions/capture/mod.ts'

const captured = 1
try {
  capture(() => captured)
} catch (error) {
  console.log((error as { code?: string }).code, (error as Error).message)
}
