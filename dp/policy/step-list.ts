// Puts steps in a row.
import type { Words as Address } from '../kernel/address.ts';
import type { AddressSteps } from './blob.ts';

/** Leaves out what changes nothing. */
export class StepList implements AddressSteps {
  readonly starts: Address[];
  readonly values: number[];

  /** Takes both lists as its own. */
  constructor(starts: Address[] = [], values: number[] = []) {
    this.starts = starts;
    this.values = values;
  }

  push(start: Address, value: number): void {
    if (this.values.length > 0 && this.values[this.values.length - 1] === value) return;
    this.starts.push(start);
    this.values.push(value);
  }
}
