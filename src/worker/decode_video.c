/* decode_video.c - one frame of an MP4 or WebM file, its length and its size, by libav. See decode.h.
 *
 * The file is read from memory through our own AVIOContext; no protocol is allowed, the container's format is the one
 * sniffed (nothing is probed), and only the decoders of CODECS are opened, each with a single thread.
 */
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libavutil/imgutils.h>
#include <libswscale/swscale.h>
#include <stdio.h>
#include <string.h>

#include "worker/decode.h"

#define CODECS "h264,hevc,mpeg4,vp8,vp9,libdav1d"
#define READ_SIZE 65536
#define PROBE_BYTES (4 << 20)
#define PACKETS_MAX 2000     /* read while looking for the first frame */
#define FORWARD_MAX 300     /* frames decoded on the way from a key frame to the one asked for */
#define POSTER_SHARE 10	     /* the poster is the key frame at or before this part of the length... */
#define POSTER_MAX_US 3000000 /* ...or here: first frames are often black */

struct memory_file {
	const uint8_t *data;
	int64_t length, at;
};

/* What has to be freed, whatever happened. */
struct video {
	struct memory_file file;
	AVIOContext *io;
	AVFormatContext *format;
	AVCodecContext *codec;
	AVPacket *packet;
	AVFrame *frame;
	AVStream *stream;
};

static int read_memory(void *opaque, uint8_t *out, int size)
{
	struct memory_file *file = opaque;
	int64_t left = file->length - file->at;
	if (left <= 0)
		return AVERROR_EOF;
	int n = left < size ? (int)left : size;
	memcpy(out, file->data + file->at, (size_t)n);
	file->at += n;
	return n;
}

static int64_t seek_memory(void *opaque, int64_t offset, int whence)
{
	struct memory_file *file = opaque;
	if (whence & AVSEEK_SIZE)
		return file->length;
	whence &= ~AVSEEK_FORCE;
	int64_t base = whence == SEEK_CUR ? file->at : whence == SEEK_END ? file->length : 0;
	if (offset > file->length || base + offset < 0 || base + offset > file->length)
		return AVERROR(EINVAL);
	return file->at = base + offset;
}

static bool open_container(struct video *v, uint32_t kind)
{
	const AVInputFormat *demuxer = av_find_input_format(kind == ATL_PICTURE_MP4 ? "mov" : "matroska");
	uint8_t *room = av_malloc(READ_SIZE);
	if (room)
		v->io = avio_alloc_context(room, READ_SIZE, 0, &v->file, read_memory, NULL, seek_memory);
	if (!v->io)
		av_free(room);
	v->format = avformat_alloc_context();
	if (!demuxer || !v->io || !v->format)
		return false;
	v->format->pb = v->io;
	v->format->flags |= AVFMT_FLAG_CUSTOM_IO;
	v->format->probesize = PROBE_BYTES;
	v->format->max_streams = 16;
	AVDictionary *options = NULL;
	av_dict_set(&options, "protocol_whitelist", "", 0);
	av_dict_set(&options, "codec_whitelist", CODECS, 0);
	int rc = avformat_open_input(&v->format, "", demuxer, &options); /* frees the context when it fails */
	av_dict_free(&options);
	return rc == 0 && avformat_find_stream_info(v->format, NULL) >= 0;
}

static bool open_codec(struct video *v, const struct atl_decode_ask *ask)
{
	const AVCodec *decoder = avcodec_find_decoder(v->stream->codecpar->codec_id);
	AVDictionary *options = NULL;
	v->codec = decoder ? avcodec_alloc_context3(decoder) : NULL;
	v->packet = av_packet_alloc();
	v->frame = av_frame_alloc();
	if (!v->codec || !v->packet || !v->frame ||
	    avcodec_parameters_to_context(v->codec, v->stream->codecpar) < 0)
		return false;
	v->codec->thread_count = 1;
	v->codec->max_pixels = ask->max_pixels;
	av_dict_set(&options, "codec_whitelist", CODECS, 0);
	int rc = avcodec_open2(v->codec, decoder, &options);
	av_dict_free(&options);
	return rc == 0;
}

static void close_video(struct video *v)
{
	av_frame_free(&v->frame);
	av_packet_free(&v->packet);
	avcodec_free_context(&v->codec);
	avformat_close_input(&v->format);
	if (v->io)
		av_freep(&v->io->buffer);
	avio_context_free(&v->io);
}

/* The next frame that can be shown, from where the file stands. */
static bool next_frame(struct video *v)
{
	bool drained = false;
	for (int packets = 0; packets < PACKETS_MAX; packets++) {
		int rc = avcodec_receive_frame(v->codec, v->frame);
		if (rc == 0)
			return true;
		if (rc != AVERROR(EAGAIN) || drained)
			return false;
		rc = av_read_frame(v->format, v->packet);
		if (rc < 0) {
			drained = true;
			rc = avcodec_send_packet(v->codec, NULL);
		} else if (v->packet->stream_index == v->stream->index) {
			rc = avcodec_send_packet(v->codec, v->packet);
		} else {
			rc = 0;
		}
		av_packet_unref(v->packet);
		if (rc < 0 && rc != AVERROR(EAGAIN) && rc != AVERROR_INVALIDDATA)
			return false;
	}
	return false;
}

/* Near the beginning, but not the very first; where that cannot be had, the first. */
static bool find_poster(struct video *v)
{
	int64_t duration = v->format->duration;
	int64_t at = duration > 0 ? duration / POSTER_SHARE : 0;
	if (at > POSTER_MAX_US)
		at = POSTER_MAX_US;
	if (v->format->start_time != AV_NOPTS_VALUE)
		at += v->format->start_time;
	if (duration > 0 && avformat_seek_file(v->format, -1, INT64_MIN, at, at, 0) >= 0 && next_frame(v))
		return true;
	avcodec_flush_buffers(v->codec);
	return avformat_seek_file(v->format, -1, INT64_MIN, 0, INT64_MAX, 0) >= 0 && next_frame(v);
}

/* The frame at this share of the length: from the key frame before it on, as far as FORWARD_MAX frames reach. */
static bool find_frame(struct video *v, uint32_t percent)
{
	int64_t at = v->format->duration > 0 ? v->format->duration / 100 * percent : 0;
	if (v->format->start_time != AV_NOPTS_VALUE)
		at += v->format->start_time;
	if (v->format->duration <= 0 || avformat_seek_file(v->format, -1, INT64_MIN, at, at, 0) < 0 || !next_frame(v))
		return find_poster(v);
	int64_t want = av_rescale_q(at, AV_TIME_BASE_Q, v->stream->time_base);
	for (unsigned n = 0; n < FORWARD_MAX && v->frame->best_effort_timestamp < want; n++)
		if (!next_frame(v))
			break; /* the last one stays, where there is one */
	return v->frame->width > 0 || (avcodec_flush_buffers(v->codec), find_poster(v));
}

static VipsAngle turn_of(const AVStream *stream)
{
	size_t size = 0;
#if LIBAVFORMAT_VERSION_MAJOR >= 61 /* FFmpeg 7 keeps it with the codec's parameters */
	const AVPacketSideData *side = av_packet_side_data_get(stream->codecpar->coded_side_data,
							       stream->codecpar->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
	const uint8_t *matrix = side ? side->data : NULL;
	size = side ? side->size : 0;
#else
	const uint8_t *matrix = av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
#endif
	if (!matrix || size < 9 * sizeof(int32_t))
		return VIPS_ANGLE_D0;
	double turn = av_display_rotation_get((const int32_t *)(const void *)matrix); /* anti-clockwise, may be NaN */
	return turn > 45 && turn < 135 ? VIPS_ANGLE_D270
	       : turn < -45 && turn > -135 ? VIPS_ANGLE_D90
	       : turn >= 135 || turn <= -135 ? VIPS_ANGLE_D180
					      : VIPS_ANGLE_D0;
}

/* The frame as RGB rows in an image of libvips, which frees them. */
static VipsImage *frame_to_image(const AVFrame *frame)
{
	int width = frame->width, height = frame->height, stride = 0;
	size_t size = (size_t)width * (size_t)height * 3;
	/* swscale writes whole vectors: its own padded rows, then ours without */
	uint8_t *padded[4] = {NULL};
	int strides[4] = {0};
	VipsImage *image = NULL;
	if (av_image_alloc(padded, strides, width, height, AV_PIX_FMT_RGB24, 64) < 0)
		return NULL;
	stride = strides[0];
	struct SwsContext *scaler = sws_getContext(width, height, (enum AVPixelFormat)frame->format, width, height,
						   AV_PIX_FMT_RGB24, SWS_BICUBIC | SWS_ACCURATE_RND, NULL, NULL, NULL);
	if (scaler) {
		int matrix = frame->colorspace == AVCOL_SPC_UNSPECIFIED && height >= 720 ? SWS_CS_ITU709
			     : (int)frame->colorspace;
		sws_setColorspaceDetails(scaler, sws_getCoefficients(matrix), frame->color_range == AVCOL_RANGE_JPEG,
					 sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16, 1 << 16);
	}
	uint8_t *rows = scaler ? g_try_malloc(size) : NULL;
	if (rows && sws_scale(scaler, (const uint8_t *const *)frame->data, frame->linesize, 0, height, padded, strides) ==
			    height) {
		for (int y = 0; y < height; y++)
			memcpy(rows + (size_t)y * (size_t)width * 3, padded[0] + (size_t)y * (size_t)stride, (size_t)width * 3);
		image = vips_image_new_from_memory_copy(rows, size, width, height, 3, VIPS_FORMAT_UCHAR);
	}
	if (image)
		image->Type = VIPS_INTERPRETATION_sRGB;
	g_free(rows);
	sws_freeContext(scaler);
	av_freep(&padded[0]);
	return image;
}

static bool read_video(struct video *v, const struct atl_decode_ask *ask, struct decode_source *source,
		       char why[DECODE_WHY_SIZE])
{
	if (!open_container(v, ask->kind)) {
		snprintf(why, DECODE_WHY_SIZE, "The video is damaged: its header cannot be read.");
		return false;
	}
	int index = av_find_best_stream(v->format, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
	if (index < 0) {
		snprintf(why, DECODE_WHY_SIZE, "There is no picture in this video that can be read.");
		return false;
	}
	v->stream = v->format->streams[index];
	for (unsigned i = 0; i < v->format->nb_streams; i++)
		if ((int)i != index)
			v->format->streams[i]->discard = AVDISCARD_ALL;
	const AVCodecParameters *codec = v->stream->codecpar;
	if (codec->width <= 0 || codec->height <= 0 || codec->width > ATL_DECODE_SIDE_MAX ||
	    codec->height > ATL_DECODE_SIDE_MAX) {
		snprintf(why, DECODE_WHY_SIZE, "The video is damaged: it has no size.");
		return false;
	}
	if (!decode_size_allowed(ask, (uint64_t)codec->width, (uint64_t)codec->height, why))
		return false;
	if (!open_codec(v, ask) || !(ask->at_percent ? find_frame(v, ask->at_percent) : find_poster(v)) || v->frame->width <= 0 || v->frame->height <= 0) {
		snprintf(why, DECODE_WHY_SIZE, "No picture of the video can be read: it is damaged, or of an unusual kind.");
		return false;
	}
	if (!decode_size_allowed(ask, (uint64_t)v->frame->width, (uint64_t)v->frame->height, why))
		return false;
	VipsImage *image = frame_to_image(v->frame), *turned = NULL;
	if (image && vips_rot(image, &turned, turn_of(v->stream), NULL) == 0)
		source->image = decode_normalise(turned);
	g_clear_object(&image);
	if (!source->image) {
		snprintf(why, DECODE_WHY_SIZE, "The picture of the video could not be converted.");
		return false;
	}
	source->width = (uint32_t)vips_image_get_width(source->image);
	source->height = (uint32_t)vips_image_get_height(source->image);
	int64_t duration_ms = v->format->duration > 0 ? v->format->duration / 1000 : 0;
	source->duration_ms = duration_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)duration_ms;
	source->frames = v->stream->nb_frames > 0 && v->stream->nb_frames < UINT32_MAX ? (uint32_t)v->stream->nb_frames : 0;
	return true;
}

bool decode_video(const struct atl_decode_ask *ask, const void *data, size_t length, struct decode_source *ret,
		  char why[DECODE_WHY_SIZE])
{
	struct video video = {.file = {.data = data, .length = (int64_t)length}};
	struct decode_source source = {0};
	av_log_set_level(AV_LOG_QUIET);
	bool ok = read_video(&video, ask, &source, why);
	close_video(&video);
	if (ok)
		*ret = source;
	return ok;
}
