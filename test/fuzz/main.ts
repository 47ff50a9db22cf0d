// `npm run fuzz -- --objects 20000 --reviews 5000 --seed N`: objects for the rules and raw requests for the admission server, as many as wanted.
import { parseArgs } from 'node:util';
import { fuzzObjects } from './run-objects.ts';
import { fuzzReviews } from './run-reviews.ts';

const { values } = parseArgs({
  options: {
    objects: { type: 'string', default: '20000' },
    reviews: { type: 'string', default: '5000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
});

function whole(name: keyof typeof values): number {
  const value = Number(values[name]);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new Error(`read --${name} ${values[name]}: not a whole number: write for example --${name} 1000`);
}

const listed = (counts: Record<string, number>): string =>
  Object.entries(counts)
    .map(([outcome, count]) => `${count} ${outcome}`)
    .join(', ');

try {
  const seed = whole('seed');
  console.log(`seed ${seed}`);
  console.log(`${whole('objects')} objects: ${listed(await fuzzObjects(whole('objects'), seed))}`);
  console.log(`${whole('reviews')} reviews: ${listed(await fuzzReviews(whole('reviews'), seed))}`);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
