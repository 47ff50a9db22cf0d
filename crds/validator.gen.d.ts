// The shape of validator.gen.js, which `npm run generate` writes from the CRD.
import type { ErrorObject } from 'ajv';

/** Whether a value fits the schema of the CRD; what does not is in errors until the next call. */
export const validate: { (value: unknown): boolean; errors?: ErrorObject[] | null };
