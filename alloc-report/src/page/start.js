// Reads the data of the page, and starts it.

async function readData() {
  const packed = byId('data').textContent;
  if (typeof DecompressionStream === 'undefined') {
    throw new Error('This browser is too old: the page needs DecompressionStream (Chrome 80, Firefox 113, Safari 16.4).');
  }
  const bytes = (await fetch(`data:application/gzip;base64,${packed}`)).body;
  const data = await new Response(bytes.pipeThrough(new DecompressionStream('gzip'))).json();
  byId('data').remove();
  return data;
}

// `make(data)` is the page.
function start(make) {
  readData().then(data => {
    globalThis.app = make(data);
    document.documentElement.dataset.ready = performance.now().toFixed(0);
  }).catch(error => {
    byId('failure').hidden = false;
    byId('failure').textContent = `The page cannot show its data: ${error.message}`;
    throw error;
  });
}
