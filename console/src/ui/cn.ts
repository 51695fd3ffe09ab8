import { type ClassValue, clsx } from 'clsx'
import { extendTailwindMerge } from 'tailwind-merge'

// The names of this design's own text sizes and shadows, so that merging does not take them for colours.
const merge = extendTailwindMerge({
  extend: { theme: { text: ['2xs'], shadow: ['panel', 'float'] } },
})

/** Joins class names; of two that contradict each other the later wins. */
export function cn(...names: ClassValue[]): string {
  return merge(clsx(names))
}
