// The three suites of the project and what sets them apart: what they may need, how many files run at once, how long a test may take.
import { defineConfig } from 'vitest/config';

const second = 1000;
const minute = 60 * second;

export default defineConfig({
  test: {
    // Stopping a node with its pods takes a while; cut short it would leave processes behind.
    teardownTimeout: 3 * minute,
    // One second is the default, which a single kubectl may take on a busy machine.
    expect: { poll: { timeout: 30 * second } },
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/integration/**', 'test/e2e/**'],
          // Half of the time went into importing the same modules for each file again. Who mocks one resets the modules first.
          isolate: false,
          testTimeout: 20 * second,
          hookTimeout: 20 * second,
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          globalSetup: ['test/integration/setup.ts'],
          // Most of them wait for clocks, servers and each other for most of their time.
          maxWorkers: 3,
          // The longest of those that name no time of their own take half a minute on an idle machine.
          testTimeout: 5 * minute,
          // The first hook that asks for a server may have to build it from source.
          hookTimeout: 60 * minute,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          globalSetup: ['test/e2e/setup.ts'],
          // All the files share one node: side by side they would measure each other.
          fileParallelism: false,
          testTimeout: 10 * minute,
          hookTimeout: 20 * minute,
        },
      },
    ],
  },
});
