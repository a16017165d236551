/* film.c - see film.h. */
#include "worker/film.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>
#include <libswscale/swscale.h>

#define ENCODER "libvpx-vp9"
#define QUALITY "24" /* 0 best .. 63 */
#define SPEED "4"    /* 0 slow .. 8 quick */

struct film {
	AVFormatContext *file;
	AVCodecContext *codec;
	AVStream *stream;
	AVFrame *picture;
	AVPacket *packet;
	struct SwsContext *scale;
	struct atl_errinfo *info;
};

static enum atl_err broken(struct film *f, const char *what, int code)
{
	char words[AV_ERROR_MAX_STRING_SIZE] = "";
	av_strerror(code, words, sizeof words);
	return atl_fail(f->info, ATL_ERR_INTERNAL, "The film could not be written: %s: %s.", what, words);
}

static enum atl_err open_codec(struct film *f, int width, int height, int fps, int threads)
{
	const AVCodec *codec = avcodec_find_encoder_by_name(ENCODER);
	if (!codec)
		return atl_fail(f->info, ATL_ERR_UNSUPPORTED, "The film could not be written: libav has no VP9 here.");
	f->codec = avcodec_alloc_context3(codec);
	if (!f->codec)
		return broken(f, "codec", AVERROR(ENOMEM));
	f->codec->width = width;
	f->codec->height = height;
	f->codec->pix_fmt = AV_PIX_FMT_YUV420P;
	f->codec->time_base = (AVRational){1, fps};
	f->codec->framerate = (AVRational){fps, 1};
	f->codec->colorspace = AVCOL_SPC_SMPTE170M; /* what swscale makes of RGB */
	f->codec->color_range = AVCOL_RANGE_MPEG;
	f->codec->thread_count = threads;
	f->codec->flags |= AV_CODEC_FLAG_BITEXACT;
	if (f->file->oformat->flags & AVFMT_GLOBALHEADER)
		f->codec->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
	av_opt_set(f->codec->priv_data, "crf", QUALITY, 0);
	av_opt_set(f->codec->priv_data, "deadline", "good", 0);
	av_opt_set(f->codec->priv_data, "cpu-used", SPEED, 0);
	int rc = avcodec_open2(f->codec, codec, NULL);
	return rc < 0 ? broken(f, "codec", rc) : ATL_OK;
}

static enum atl_err open_film(struct film *f, int width, int height, int fps, int threads)
{
	int rc = avformat_alloc_output_context2(&f->file, NULL, "webm", NULL);
	if (rc < 0)
		return broken(f, "WebM", rc);
	f->file->flags |= AVFMT_FLAG_BITEXACT;
	enum atl_err err = open_codec(f, width, height, fps, threads);
	if (err)
		return err;
	f->stream = avformat_new_stream(f->file, NULL);
	f->picture = av_frame_alloc();
	f->packet = av_packet_alloc();
	f->scale = sws_getContext(width, height, AV_PIX_FMT_RGB24, width, height, AV_PIX_FMT_YUV420P, SWS_BICUBIC, NULL, NULL,
				  NULL);
	if (!f->stream || !f->picture || !f->packet || !f->scale)
		return broken(f, "memory", AVERROR(ENOMEM));
	f->picture->format = AV_PIX_FMT_YUV420P;
	f->picture->width = width;
	f->picture->height = height;
	f->stream->time_base = f->codec->time_base;
	f->stream->avg_frame_rate = f->codec->framerate;
	rc = av_frame_get_buffer(f->picture, 0);
	if (rc >= 0)
		rc = avcodec_parameters_from_context(f->stream->codecpar, f->codec);
	if (rc >= 0)
		rc = avio_open_dyn_buf(&f->file->pb);
	if (rc >= 0)
		rc = avformat_write_header(f->file, NULL);
	return rc < 0 ? broken(f, "header", rc) : ATL_OK;
}

/* `picture` NULL: the last of what the codec holds back. */
static enum atl_err add(struct film *f, const AVFrame *picture)
{
	int rc = avcodec_send_frame(f->codec, picture);
	while (rc >= 0) {
		rc = avcodec_receive_packet(f->codec, f->packet);
		if (rc == AVERROR(EAGAIN) || rc == AVERROR_EOF)
			return ATL_OK;
		if (rc < 0)
			break;
		f->packet->stream_index = f->stream->index;
		f->packet->duration = 1;
		av_packet_rescale_ts(f->packet, f->codec->time_base, f->stream->time_base);
		rc = av_interleaved_write_frame(f->file, f->packet);
		if (avio_tell(f->file->pb) > (int64_t)FILM_BYTES_MAX)
			return atl_fail(f->info, ATL_ERR_TOO_LARGE,
					"The film is larger than 64 MB. Ask for fewer frames or a smaller size.");
	}
	return broken(f, "frame", rc);
}

static enum atl_err add_frames(struct film *f, const struct engine_image *frames, size_t count, bool (*stopped)(void))
{
	for (size_t i = 0; i < count; i++) {
		const uint8_t *rows[] = {frames[i].data};
		int strides[] = {(int)frames[i].width * 3};
		if (stopped && stopped())
			return atl_fail(f->info, ATL_ERR_CANCELLED, "It was stopped.");
		if (frames[i].width != frames[0].width || frames[i].height != frames[0].height || frames[i].channels != 3)
			return atl_fail(f->info, ATL_ERR_INVALID, "The frames of the film differ in size.");
		int rc = av_frame_make_writable(f->picture);
		if (rc < 0)
			return broken(f, "frame", rc);
		sws_scale(f->scale, rows, strides, 0, f->picture->height, f->picture->data, f->picture->linesize);
		f->picture->pts = (int64_t)i;
		enum atl_err err = add(f, f->picture);
		if (err)
			return err;
	}
	return add(f, NULL);
}

static void close_film(struct film *f)
{
	uint8_t *left = NULL;
	if (f->file && f->file->pb) {
		avio_close_dyn_buf(f->file->pb, &left);
		av_free(left);
	}
	sws_freeContext(f->scale);
	av_packet_free(&f->packet);
	av_frame_free(&f->picture);
	avcodec_free_context(&f->codec);
	avformat_free_context(f->file);
}

enum atl_err film_encode(const struct engine_image *frames, size_t count, int fps, int threads, bool (*stopped)(void),
			 struct atl_buf *out, struct atl_errinfo *info)
{
	struct film f = {.info = info};
	if (count == 0 || fps < 1 || frames[0].width < 2 || frames[0].height < 2)
		return atl_fail(info, ATL_ERR_INVALID, "A film needs frames.");
	enum atl_err err = open_film(&f, (int)(frames[0].width & ~1u), (int)(frames[0].height & ~1u), fps, threads);
	if (!err)
		err = add_frames(&f, frames, count, stopped);
	if (!err) {
		int rc = av_write_trailer(f.file);
		if (rc < 0)
			err = broken(&f, "end", rc);
	}
	if (!err) {
		uint8_t *data = NULL;
		int length = avio_close_dyn_buf(f.file->pb, &data);
		f.file->pb = NULL;
		atl_buf_reset(out);
		atl_buf_add(out, data, (size_t)length);
		av_free(data);
		err = atl_buf_err(out, info);
	}
	close_film(&f);
	return err;
}
