import { useEffect, useRef } from 'react'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { useShownTheme } from '@/app/theme'

export type Line = { name: string; values: (number | null)[] }

type Props = {
  label: string
  /** Seconds since 1970, rising. */
  times: number[]
  lines: Line[]
  text: (value: number) => string
  bars?: boolean
}

const inks = ['--accent', '--production', '--development', '--preview', '--warn', '--muted', '--faint']

/** Lines over time. What they say is beside them as text, too. */
export default function Chart({ label, times, lines, text, bars }: Props) {
  const box = useRef<HTMLDivElement>(null)
  const theme = useShownTheme()
  // biome-ignore lint/correctness/useExhaustiveDependencies: the colours are read again when the theme changes
  useEffect(() => {
    const at = box.current
    if (!at) return
    const style = getComputedStyle(document.documentElement)
    const ink = (name: string) => style.getPropertyValue(name).trim()
    // A point has the width of a step: a single one stands in the middle, and the last bar is as wide as the others.
    const step = times.length > 1 ? Math.min(...times.slice(1).map((at, i) => at - (times[i] as number))) : 86_400
    const around: [number, number] = [(times[0] ?? 0) - step / 2, (times.at(-1) ?? 0) + step / 2]
    // Small numbers can be the same text: it is written once.
    const texts = (values: number[]) => values.map(text).map((t, i, all) => (t === all[i - 1] ? '' : t))
    const axis = { stroke: ink('--faint'), grid: { stroke: ink('--line'), width: 1 }, ticks: { show: false } }
    const chart = new uPlot(
      {
        width: Math.max(200, at.clientWidth),
        height: 220,
        axes: [axis, { ...axis, size: 76, values: (_, values) => texts(values) }],
        scales: {
          ...((bars || times.length < 2) && { x: { range: () => around } }),
          y: { range: (_, __, max) => [0, max > 0 ? max * 1.05 : 1] },
        },
        legend: { show: false },
        cursor: { y: false },
        series: [
          {},
          ...lines.map((line, i) => ({
            label: line.name,
            stroke: ink(inks[i % inks.length] as string),
            width: 1.5,
            points: { show: times.length < 3, size: 6 },
            ...(bars && { paths: uPlot.paths.stepped?.({ align: 1 }) }),
          })),
        ],
      },
      [times, ...lines.map((line) => line.values)],
      at,
    )
    const fit = new ResizeObserver(() => chart.setSize({ width: Math.max(200, at.clientWidth), height: 220 }))
    fit.observe(at)
    return () => {
      fit.disconnect()
      chart.destroy()
    }
  }, [times, lines, text, bars, theme])
  return (
    <figure aria-label={label} className="min-w-0">
      <div ref={box} className="h-[220px] min-w-0 overflow-hidden" />
      <figcaption className="mt-2 flex flex-wrap gap-x-4 gap-y-1 text-muted text-xs">
        {lines.map((line, i) => (
          <span key={line.name} className="flex items-center gap-1.5">
            <span aria-hidden className="h-0.5 w-3 rounded" style={{ background: `var(${inks[i % inks.length]})` }} />
            {line.name}
          </span>
        ))}
      </figcaption>
    </figure>
  )
}
