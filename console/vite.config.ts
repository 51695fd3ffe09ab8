import { fileURLToPath } from 'node:url'
import tailwindcss from '@tailwindcss/vite'
import react from '@vitejs/plugin-react'
import { defineConfig, type Plugin } from 'vite'

/**
 * Sonner puts its style sheet into the page with a <style> element, which the content security policy refuses. The same
 * sheet is imported in main.css; this takes the insertion out, and ends the build should a new version do it differently.
 */
function sonnerWithoutInlineStyle(): Plugin {
  const insertion = /^__insertCSS\(.*\);?$/gm
  return {
    name: 'sonner-without-inline-style',
    apply: 'build',
    transform(code, id) {
      if (!id.includes('/sonner/dist/index.mjs')) return null
      const found = code.match(insertion)?.length ?? 0
      if (found !== 1) throw new Error(`sonner inserts its styles in ${found} places; look at it again`)
      return { code: code.replace(insertion, ''), map: null }
    },
  }
}

// The names of the files carry no hash, so that a rebuild changes only what changed. The Go side serves them below a path
// that carries the hash of the whole build, which is why every reference here is relative.
export default defineConfig({
  base: './',
  plugins: [react(), tailwindcss(), sonnerWithoutInlineStyle()],
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  html: { cspNonce: 'CSP_NONCE' },
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1000,
    rollupOptions: {
      output: {
        entryFileNames: 'assets/[name].js',
        chunkFileNames: 'assets/[name].js',
        assetFileNames: 'assets/[name][extname]',
        // What every screen needs comes in few files; what one screen needs comes with it.
        codeSplitting: {
          groups: [
            {
              name: 'vendor',
              test: /node_modules[\\/](react|react-dom|scheduler|@tanstack|sonner|clsx|tailwind-merge|class-variance-authority)[\\/]/,
            },
            {
              name: 'ui',
              // The editor of SQL is large and comes with the screens that have one.
              test: /src[\\/](?!ui[\\/]sql-)(ui|lib|api)[\\/]|node_modules[\\/](radix-ui|@radix-ui|@floating-ui|lucide-react|react-remove-scroll|aria-hidden|get-nonce)/,
            },
          ],
        },
      },
    },
  },
  server: {
    port: 7601,
    proxy: { '/api': { target: process.env.HOLDFAST_URL ?? 'http://127.0.0.1:7600', changeOrigin: true } },
  },
  test: { environment: 'node', include: ['src/**/*.test.ts'] },
} as Parameters<typeof defineConfig>[0])
