// The CRD's own schema as findings, in the words of the other rules.
import { Ajv, type ErrorObject } from 'ajv';
import { schema } from '../../databasebackup.gen.ts';
import { error, type Finding } from './finding.ts';

/** More than any maxLength of the schema. Beyond it maxLength has said enough: on a megabyte a pattern may take minutes. */
const longestMatched = 1024;

function boundedPattern(pattern: string, flags: string): { test(text: string): boolean; toString(): string } {
  const expression = new RegExp(pattern, flags);
  return {
    test: (text) => text.length > longestMatched || expression.test(text),
    toString: () => String(expression), // ajv tells one from another by it.
  };
}

/** What a pattern says that does not fit. */
export const malformed = 'is malformed';

let compiled: ReturnType<Ajv['compile']> | undefined;

/** Compiled at first use. */
function validator(): ReturnType<Ajv['compile']> {
  compiled ??= new Ajv({
    allErrors: true,
    strict: false,
    verbose: true,
    formats: { int32: true, int64: true, 'date-time': true },
    code: { regExp: Object.assign(boundedPattern, { code: 'boundedPattern' }) },
  }).compile(schema);
  return compiled;
}

function fromSchema(failure: ErrorObject): Finding {
  const path = failure.instancePath
    .slice(1)
    .replace(/\/(\d+)/g, '[$1]')
    .replaceAll('/', '.');
  const description: unknown = failure.parentSchema?.['description'];
  const meaning = typeof description === 'string' ? description : 'see kubectl explain';
  if (failure.keyword === 'required') {
    const missing = String(failure.params['missingProperty']);
    const field = path === '' ? missing : `${path}.${missing}`;
    return error(field, undefined, 'is required', `add it to ${path === '' ? 'the object' : path}`);
  }
  if (failure.keyword === 'enum') {
    const allowed = (failure.params['allowedValues'] as unknown[]).join(', ');
    return error(path, failure.data, 'is not supported', `use one of ${allowed}`);
  }
  const message = failure.keyword === 'pattern' ? malformed : (failure.message ?? 'is not valid');
  return error(path, failure.data, message, meaning);
}

/** What the schema says of an object of any shape. Status has a door and a schema check of its own. */
export function schemaFindings(next: unknown): Finding[] {
  const check = validator();
  return check({ ...(next as object | null), status: undefined }) ? [] : (check.errors ?? []).map(fromSchema);
}
